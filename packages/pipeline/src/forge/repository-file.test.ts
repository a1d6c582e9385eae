import { toJson } from "@bufbuild/protobuf";
import { Forge, RepositorySchema } from "@kedge/proto";
import { describe, expect, it } from "vitest";
import { formatRepository } from "./repository-format.ts";
import { parseRepository } from "./repository-parse.ts";

const FILE = `repository: shop
url: https://github.com/team/shop.git
forge: github
api-url: https://api.github.com
webhook-secrets:
  - SHOP_HOOK
token: SHOP_TOKEN
user: robot
files:
  - ci/kedge.yaml
pipelines:
  - nightly
default-branch: trunk
status-context: ci
run-url: https://kedge.example/runs/{run}
poll: 5m
trusted-senders:
  - ann
allow-private: true
team: web
`;

describe("a repository file", () => {
  it("is read and written back", () => {
    const { repository, diagnostics } = parseRepository(FILE);
    expect(diagnostics).toEqual([]);
    expect(repository && formatRepository(repository)).toBe(FILE);
    expect(repository).toMatchObject({ name: "shop", forge: Forge.GITHUB, pollSeconds: 300, files: ["ci/kedge.yaml"] });
  });

  it("needs a name and an address only", () => {
    const { repository } = parseRepository("repository: shop\nurl: /srv/shop.git\n");
    expect(repository && toJson(RepositorySchema, repository)).toEqual({ name: "shop", url: "/srv/shop.git" });
  });

  it.each([
    ["repository: Shop\nurl: /x\n", 1, /name/],
    ["repository: shop\n", 1, /url/],
    ["repository: shop\nurl: /x\nforge: bitbucket\n", 3, /github/],
    ["repository: shop\nurl: /x\nwebhook-secrets: [A]\n", 3, /need a forge/],
    ["repository: shop\nurl: /x\npoll: 1s\n", 3, /at least 10s/],
    ["repository: shop\nurl: /x\ntokn: A\n", 3, /token/],
    ["repository: shop\nurl: /x\nfiles: [../x]\n", 3, /relative path/],
  ])("that is %j is refused", (text, line, message) => {
    const { repository, diagnostics } = parseRepository(text);
    expect(repository).toBeUndefined();
    expect(diagnostics[0]).toMatchObject({ line });
    expect(`${diagnostics[0]?.message} ${diagnostics[0]?.hint}`).toMatch(message);
  });
});
