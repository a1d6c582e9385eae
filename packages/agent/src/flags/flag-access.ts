/** Where what runs on this node finds its feature flags. */
export interface FlagAccess {
  /** For model servers, which follow it; it may not be there yet. */
  readonly file: string;
  /** Base URL of OpenFeature's protocol, for processes; undefined where nothing serves it. */
  readonly url: string | undefined;
  /** The same for containers; undefined when they cannot reach it. */
  containerUrl(): Promise<string | undefined>;
}
