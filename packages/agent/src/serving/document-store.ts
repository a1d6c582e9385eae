import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Assignment, AssignmentSchema, type Route, RouteSchema } from "@kedge/proto";
import { readFileIfPresent, writeFileAtomic } from "../state/atomic-file.ts";

/**
 * The last documents that the controller gave this node, on disk, so that a node which is cut off serves on after a
 * restart. They were verified when they came; the folder belongs to the agent alone.
 */
export class DocumentStore {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async loadAssignment(): Promise<Assignment | undefined> {
    const bytes = await readFileIfPresent(join(this.#dir, "assignment"));
    return bytes === undefined ? undefined : fromBinary(AssignmentSchema, bytes);
  }

  async loadRoutes(): Promise<Route[]> {
    const folder = join(this.#dir, "routes");
    const names = await readdir(folder).catch(() => []); // No folder: no routes.
    const files = await Promise.all(
      names.filter((name) => !name.endsWith(".tmp")).map((name) => readFileIfPresent(join(folder, name))),
    );
    return files.filter((bytes) => bytes !== undefined).map((bytes) => fromBinary(RouteSchema, bytes));
  }

  saveAssignment(assignment: Assignment): Promise<void> {
    return writeFileAtomic(join(this.#dir, "assignment"), toBinary(AssignmentSchema, assignment));
  }

  saveRoute(route: Route): Promise<void> {
    return writeFileAtomic(join(this.#dir, "routes", route.deployment), toBinary(RouteSchema, route));
  }

  removeRoute(deployment: string): Promise<void> {
    return rm(join(this.#dir, "routes", deployment), { force: true });
  }
}
