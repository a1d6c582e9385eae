import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("scheduler", { isPure: true });
