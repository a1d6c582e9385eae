export { describeDecision } from "./describe-decision.ts";
export { heldRoute, isMergedIn, type LocalScale, shareOf } from "./held-route.ts";
