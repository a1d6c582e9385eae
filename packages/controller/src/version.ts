/** Version of the controller, as it tells clients. */
export const CONTROLLER_VERSION = "0.1.0";
