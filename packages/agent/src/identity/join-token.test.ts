import { isKedgeError } from "@kedge/domain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJoinToken } from "./join-token.ts";

const encode = (value: unknown) => `kedge-join.${Buffer.from(JSON.stringify(value)).toString("base64url")}`;

describe("parseJoinToken", () => {
  it("reads what the controller prints", () => {
    const token = { id: "t1", secret: "s", address: "127.0.0.1:7400", caFingerprint: "ab" };
    expect(parseJoinToken(` ${encode(token)}\n`)).toEqual(token);
  });

  it("refuses everything else without repeating it", () => {
    const wrong = [
      "",
      "kedge-join.",
      "kedge-join.e30",
      encode(null),
      encode({ id: 1 }),
      encode({ id: "a", secret: "" }),
    ];
    for (const token of wrong) {
      expect(() => parseJoinToken(token)).toThrow("this is not a join token");
    }
  });

  it("throws only JOIN_TOKEN_INVALID", () => {
    fc.assert(
      fc.property(fc.string(), (body) => {
        try {
          parseJoinToken(`kedge-join.${body}`);
        } catch (error) {
          return isKedgeError(error, "JOIN_TOKEN_INVALID");
        }
        return false;
      }),
    );
  });
});
