import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";

/** Adds grpc.health.v1; the result sets what it answers for the server ("") and for each service. */
export function addHealth(server: Server, services: readonly DescService[]): (serving: boolean) => void {
  const names = ["", ...services.map((service) => service.typeName)];
  const health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, "NOT_SERVING" as const])));
  health.addToServer(server);
  return (serving) => {
    for (const name of names) health.setStatus(name, serving ? "SERVING" : "NOT_SERVING");
  };
}

/** Adds grpc.reflection v1 and v1alpha, made from the generated descriptors: no .proto file is needed at run time. */
export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, Buffer>();
  const visit = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
    file.dependencies.forEach(visit);
  };
  for (const service of services) visit(service.file);
  const fileDescriptorProtos = [...files.values()];
  // The reflection service reads the files of an entry and nothing else; an enum's is the simplest entry there is.
  const entry = { format: "Protocol Buffer 3 EnumDescriptorProto" as const, type: {}, fileDescriptorProtos };
  new ReflectionService({ kedge: entry }).addToServer(server);
}
