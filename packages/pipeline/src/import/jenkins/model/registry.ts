/** What a parameter must be; "any" is not looked at. */
export type ParameterKind = "string" | "int" | "any";

/** What a step, condition, option, trigger or parameter definition takes. */
export interface Signature {
  readonly required: readonly string[];
  readonly parameters: Readonly<Record<string, ParameterKind>>;
  /** Has a block; a lone value keeps no name then. */
  readonly takesBlock: boolean;
}

/**
 * Reads `name type!` lists: `!` marks what is required, the type is string unless given, e.g. "time:int! unit".
 */
function signature(parameters: string, takesBlock = false): Signature {
  const required: string[] = [];
  const kinds: Record<string, ParameterKind> = {};
  for (const word of parameters.split(" ").filter((it) => it !== "")) {
    const [, name = "", kind = "string", mark] = /^(\w+)(?::(int|any))?(!)?$/.exec(word) ?? [];
    kinds[name] = kind === "int" || kind === "any" ? kind : "string";
    if (mark !== undefined) required.push(name);
  }
  return { required, parameters: kinds, takesBlock };
}

const SHELL = "script! encoding label returnStatus:any returnStdout:any";

/** Steps whose parameters do not depend on plugins beyond those that come with pipelines. */
export const STEPS: ReadonlyMap<string, Signature> = new Map([
  ["echo", signature("message!")],
  ["error", signature("message!")],
  ["unstable", signature("message!")],
  ["sh", signature(SHELL)],
  ["bat", signature(SHELL)],
  ["powershell", signature(SHELL)],
  ["pwsh", signature(SHELL)],
  ["sleep", signature("time:int! unit:any")],
  ["timeout", signature("time:int! unit:any activity:any", true)],
  ["retry", signature("count:int! conditions:any", true)],
  ["dir", signature("path!", true)],
  ["ws", signature("dir!", true)],
  ["node", signature("label", true)],
  ["withEnv", signature("overrides:any!", true)],
  ["withCredentials", signature("bindings:any!", true)],
  ["catchError", signature("buildResult:any catchInterruptions:any message stageResult:any", true)],
  ["warnError", signature("message! catchInterruptions:any", true)],
  ["waitUntil", signature("initialRecurrencePeriod:any quiet:any", true)],
  ["timestamps", signature("", true)],
  ["stash", signature("name! allowEmpty:any excludes includes useDefaultExcludes:any")],
  ["unstash", signature("name!")],
  ["archive", signature("includes! excludes")],
  [
    "archiveArtifacts",
    signature(
      "artifacts! allowEmptyArchive:any caseSensitive:any defaultExcludes:any excludes fingerprint:any " +
        "followSymlinks:any onlyIfSuccessful:any",
    ),
  ],
  ["readFile", signature("file! encoding")],
  ["writeFile", signature("file! text! encoding")],
  ["fileExists", signature("file!")],
  ["deleteDir", signature("")],
  ["isUnix", signature("")],
  ["pwd", signature("tmp:any")],
  ["load", signature("path!")],
  ["milestone", signature("ordinal:any label unsafe:any")],
  ["build", signature("job! parameters:any propagate:any quietPeriod:any wait:any waitForStart:any")],
  ["git", signature("url! branch changelog:any credentialsId poll:any")],
  ["step", signature("delegate:any!")],
  ["checkout", signature("scm:any! changelog:any poll:any")],
  ["validateDeclarativePipeline", signature("path!")],
]);

/** The sole value of these gets a name although their other parameters are open to plugins. */
export const SOLE_PARAMETERS: ReadonlyMap<string, string> = new Map([
  ["junit", "testResults"],
  ["milestone", "ordinal"],
  ["input", "message"],
  ["tool", "name"],
  ["cleanWs", "deleteDirs"],
]);

/** Steps that a declarative pipeline may not hold, and why. */
export const BLOCKED_STEPS: ReadonlyMap<string, string> = new Map([
  ["stage", "The stage step cannot be used in Declarative Pipelines"],
  ["properties", "The properties step cannot be used in Declarative Pipelines"],
  ["parallel", "The parallel step can only be used as the only top-level step in a stage's step block"],
]);

/** Steps that may not be called in the arguments of options, triggers and the like, and why. */
export const BLOCKED_CALLS: ReadonlyMap<string, string> = new Map([
  ...BLOCKED_STEPS,
  ["node", "The node step cannot be called as an argument to a method in Declarative Pipelines"],
]);

/** Agents without arguments. */
export const BARE_AGENTS: ReadonlySet<string> = new Set(["any", "none"]);

const DOCKER =
  "alwaysPull args containerPerStageRoot customWorkspace label registryCredentialsId registryUrl reuseNode";

/** The other agents. otherField is that of the official conformance files. */
export const AGENTS: ReadonlyMap<string, { readonly required: readonly string[]; readonly fields: readonly string[] }> =
  new Map([
    ["label", { required: ["label"], fields: ["label", "customWorkspace", "retries"] }],
    ["node", { required: ["label"], fields: ["label", "customWorkspace", "retries"] }],
    ["docker", { required: ["image"], fields: ["image", ...DOCKER.split(" ")] }],
    [
      "dockerfile",
      { required: [], fields: ["additionalBuildArgs", "dir", "filename", "dockerfile", ...DOCKER.split(" ")] },
    ],
    [
      "dockerContainer",
      { required: ["image"], fields: ["image", "connector", "credentialsId", "dockerHost", "remoteFs"] },
    ],
    ["kubernetes", { required: [], fields: [] }],
    ["ecs", { required: [], fields: [] }],
    ["otherField", { required: ["label", "otherField"], fields: ["label", "otherField", "nested"] }],
  ]);

/** Agents whose fields come with a plugin of many versions. */
export const OPEN_AGENTS: ReadonlySet<string> = new Set(["kubernetes", "ecs"]);

/** The conditions of `post`, in the order that Jenkins runs them. */
export const POST_CONDITIONS = [
  ...["always", "changed", "fixed", "regression", "aborted", "success", "unsuccessful", "unstable", "failure"],
  ...["notBuilt", "cleanup"],
] as const;

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/));

/** Options of a pipeline. */
export const OPTIONS = words(
  `
  ansiColor authorizationMatrix authorizationProject buildBlocker buildDiscarder catchError checkoutToSubdirectory
  copyArtifactPermission disableConcurrentBuilds disableRestartFromStage disableResume durabilityHint githubProjectProperty
  gitLabConnection gitlabBuilds gitlabCommitStatus jiraSite lock logstash newContainerPerStage node office365ConnectorWebhooks
  overrideIndexTriggers parallelsAlwaysFailFast preserveStashes provisioningTimeout quietPeriod rateLimitBuilds retry script
  sidebarLinks skipDefaultCheckout skipStagesAfterUnstable throttle throttleJobProperty timeout timestamps waitUntil
  warnError withContext withCredentials withEnv withFolderProperties withAWS withSonarQubeEnv wrap ws podTemplate
  buildUser dir container githubNotify milestone skipPublishingChecks`.trim(),
);

/** Options of a stage: those that wrap steps, and a few declarative ones. */
export const STAGE_OPTIONS = words(
  `
  ansiColor catchError checkoutToSubdirectory container dir gitlabBuilds gitlabCommitStatus lock logstash node
  podTemplate provisioningTimeout retry script skipDefaultCheckout throttle timeout timestamps waitUntil warnError withAWS withContext
  withCredentials withEnv withFolderProperties withSonarQubeEnv wrap ws buildUser`.trim(),
);

/** What starts builds. */
export const TRIGGERS = words(
  `
  cron pollSCM upstream githubPush githubPullRequests gitlab gitlabPush bitbucketPush bitBucketTrigger GenericTrigger
  genericTrigger parameterizedCron issueCommentTrigger pullRequestReview pullRequestComment snapshotDependencies
  dockerHubTrigger dockerHub urlTrigger gerrit fsTrigger eventTrigger ciBuildTrigger jmsTrigger rabbitMQTrigger
  hudsonStartupTrigger startup artifactory artifactoryTrigger nexus quayIoTrigger teamPRPushTrigger teamPushTrigger
  xtrigger sharedLibrary buildResultTrigger giteaPush`.trim(),
);

/** Definitions of parameters. */
export const PARAMETERS = words(
  `
  string text booleanParam choice password file run credentials base64File stashedFile gitParameter activeChoice
  reactiveChoice activeChoiceHtml extendedChoice imageTag listGitBranches nodeParameter label labelParam
  validatingString hidden persistentString persistentText persistentBoolean persistentChoice separator jobParam
  CascadeChoiceParameter DynamicReferenceParameter`.trim(),
);

/** Types of tools; others are given by the full name of their class. */
export const TOOLS = words(
  `
  ant cmake consul customTool dependencyCheck dockerTool git go golang gradle groovy jdk jgit jgitapache leiningen
  maven msbuild nodejs oc packer perl pipenv python ruby sbt scala snyk sonarQubeScanner sonarScanner terraform
  vstest xcode allure helm kubectl androidsdk nant`.trim(),
);

/** Conditions of `when`. */
export const CONDITIONS: ReadonlyMap<string, Signature> = new Map([
  ["branch", signature("pattern! comparator:any")],
  ["buildingTag", signature("")],
  ["changelog", signature("pattern!")],
  ["changeset", signature("pattern glob caseSensitive:any comparator:any shouldMatchAll:any")],
  ["changeRequest", signature("id target branch fork url title author authorDisplayName authorEmail comparator:any")],
  ["environment", signature("name! value! ignoreCase:any comparator:any")],
  ["equals", signature("expected:any! actual:any!")],
  ["tag", signature("pattern comparator:any")],
  ["triggeredBy", signature("type cause:any detail:any")],
  ["isRestartedRun", signature("")],
]);

/** Conditions made of conditions, and how many; undefined: one or more. */
export const NESTED_CONDITIONS: ReadonlyMap<string, number | undefined> = new Map([
  ["allOf", undefined],
  ["anyOf", undefined],
  ["not", 1],
]);

/** Sole values that stand for a parameter that is not required. */
export const SOLE_OF_CONDITIONS: ReadonlySet<string> = new Set(["changeset", "tag", "triggeredBy"]);

/** Options, triggers, parameters, and what stands in their arguments. */
export const CALLS: ReadonlyMap<string, Signature> = new Map([
  ["cron", signature("spec!")],
  ["pollSCM", signature("scmpoll_spec! ignorePostCommitHooks:any")],
  ["upstream", signature("upstreamProjects! threshold:any")],
  ["string", signature("name! defaultValue description trim:any")],
  ["text", signature("name! defaultValue description trim:any")],
  ["booleanParam", signature("name! defaultValue:any description")],
  ["choice", signature("name! choices:any description choiceListProvider:any")],
  ["password", signature("name! defaultValue description defaultValueAsSecret:any")],
  ["timeout", signature("time:int! unit:any activity:any")],
  ["retry", signature("count:int! conditions:any")],
  ["buildDiscarder", signature("strategy:any!")],
  [
    "logRotator",
    signature("daysToKeepStr numToKeepStr artifactDaysToKeepStr artifactNumToKeepStr removeLastBuild:any"),
  ],
  ["checkoutToSubdirectory", signature("subdirectory!")],
  ["quietPeriod", signature("quietPeriod:int!")],
]);
