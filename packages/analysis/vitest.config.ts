import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("analysis", { isPure: true });
