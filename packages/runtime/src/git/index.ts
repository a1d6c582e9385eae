export { assertFetchable, assertRefName, isCommitId, isRefName } from "./git-names.ts";
export { type GitCredential, type GitOptions, gitEnvironment, runGit, runGitRaw } from "./git-process.ts";
