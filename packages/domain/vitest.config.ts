import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("domain", { isPure: true });
