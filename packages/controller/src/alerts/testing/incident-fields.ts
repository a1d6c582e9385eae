import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Incident, IncidentSchema } from "@kedge/proto";

/** Some fields of an incident, as `create` takes them. */
export type IncidentFields = Omit<Exclude<MessageInitShape<typeof IncidentSchema>, Incident>, "$typeName">;
