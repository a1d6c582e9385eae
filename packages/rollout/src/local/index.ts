export { heldRoute, isMergedIn, type LocalScale, shareOf } from "./held-route.ts";
