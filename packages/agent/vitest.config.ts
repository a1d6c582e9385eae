import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("agent", { usesDocker: true });
