import { kedgeProject } from "../../vitest.shared.ts";

export default kedgeProject("rollout", { isPure: true });
