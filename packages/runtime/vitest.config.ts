import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("runtime", { usesDocker: true });
