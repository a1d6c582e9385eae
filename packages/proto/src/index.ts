// The one place where `export *` is right: the files are generated, and every name in them is public.
export * from "../gen/kedge/v1/alert_pb.js";
export * from "../gen/kedge/v1/artifact_pb.js";
export * from "../gen/kedge/v1/auth_pb.js";
export * from "../gen/kedge/v1/deployment_pb.js";
export * from "../gen/kedge/v1/error_pb.js";
export * from "../gen/kedge/v1/event_pb.js";
export * from "../gen/kedge/v1/flag_pb.js";
export * from "../gen/kedge/v1/incident_pb.js";
export * from "../gen/kedge/v1/model_pb.js";
export * from "../gen/kedge/v1/node_pb.js";
export * from "../gen/kedge/v1/pipeline_pb.js";
export * from "../gen/kedge/v1/repository_pb.js";
export * from "../gen/kedge/v1/resources_pb.js";
export * from "../gen/kedge/v1/run_pb.js";
export * from "../gen/kedge/v1/scheduling_pb.js";
export * from "../gen/kedge/v1/secret_pb.js";
export * from "../gen/kedge/v1/signed_pb.js";
