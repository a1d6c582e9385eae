import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("pipeline", { isPure: true });
