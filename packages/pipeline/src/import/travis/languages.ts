/** What a language brings along: its image, the key of its versions, and what is run when nothing else is said. */
export interface Language {
  readonly image: string;
  readonly versions: string;
  readonly standard: string;
  readonly install: readonly string[];
  readonly script: readonly string[];
  /** Folders that `cache: <name>` keeps, by that name. */
  readonly caches: Readonly<Record<string, readonly string[]>>;
}

const NONE: Language = {
  image: "buildpack-deps",
  versions: "",
  standard: "24.04",
  install: [],
  script: [],
  caches: {},
};

/** By name; from Travis' documentation of each language. */
const LANGUAGES: Readonly<Record<string, Language>> = {
  node_js: {
    ...{
      image: "node",
      versions: "node_js",
      standard: "24",
      install: ["if [ -f package-lock.json ]; then npm ci; else npm install; fi"],
    },
    ...{ script: ["npm test"], caches: { npm: ["~/.npm"], yarn: ["~/.cache/yarn"] } },
  },
  python: {
    ...{
      image: "python",
      versions: "python",
      standard: "3",
      install: ["if [ -f requirements.txt ]; then pip install -r requirements.txt; fi"],
    },
    ...{ script: [], caches: { pip: ["~/.cache/pip"] } },
  },
  java: {
    ...{ image: "maven", versions: "jdk", standard: "3", script: ["mvn test -B"], caches: { maven: ["~/.m2"] } },
    install: ["mvn install -DskipTests=true -Dmaven.javadoc.skip=true -B -V"],
  },
  go: {
    image: "golang",
    versions: "go",
    standard: "1",
    install: ["go get -v ./..."],
    script: ["go test -v ./..."],
    caches: {},
  },
  ruby: {
    ...{
      image: "ruby",
      versions: "rvm",
      standard: "3",
      install: ["bundle install --jobs=3 --retry=3"],
      script: ["bundle exec rake"],
    },
    caches: { bundler: ["vendor/bundle"] },
  },
  rust: {
    ...{
      image: "rust",
      versions: "rust",
      standard: "1",
      install: [],
      script: ["cargo build --verbose", "cargo test --verbose"],
    },
    caches: { cargo: ["~/.cargo/registry", "target"] },
  },
  php: { image: "php", versions: "php", standard: "8", install: [], script: ["phpunit"], caches: {} },
  minimal: NONE,
  generic: NONE,
  shell: NONE,
  bash: NONE,
};

/** A language by its name in the file; undefined for one that is not known here. */
export function languageOf(name: string): Language | undefined {
  return Object.hasOwn(LANGUAGES, name) ? LANGUAGES[name] : undefined;
}

/** For jobs of languages that are not known. */
export const NO_LANGUAGE: Language = NONE;

/** The image of a version of a language. */
export function imageOf({ image, standard, versions }: Language, version: string | undefined): string {
  if (version === undefined) return `${image}:${standard}`;
  const number = /\d+(?:\.\d+)*/.exec(version)?.[0];
  if (versions === "jdk") return number === undefined ? `${image}:${standard}` : `${image}:3-eclipse-temurin-${number}`;
  return `${image}:${number ?? standard}`;
}
