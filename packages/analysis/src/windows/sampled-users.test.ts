import { create } from "@bufbuild/protobuf";
import { mixUserHash } from "@kedge/domain";
import { type RevisionWindow, RevisionWindowSchema, RouteJudgementSchema, WindowSchema } from "@kedge/proto";
import { expect, test } from "vitest";
import { createJudge } from "../judge/judge.ts";
import { UserCohort } from "../judge/user-cohort.ts";
import { judgeSetup } from "./judge-setup.ts";
import { armsOf, judgeWindow } from "./judge-windows.ts";

const MOST_TOLD = 256;

/** As a gateway tells of users: the limit, and those with the smallest mixed hashes. */
function told(users: ReadonlySet<number>): Uint8Array {
  const inOrder = [...users].sort((a, b) => mixUserHash(a) - mixUserHash(b));
  const limit = inOrder[MOST_TOLD];
  const kept = inOrder.slice(0, MOST_TOLD);
  const begin = limit === undefined ? 1 : 5;
  const bytes = new Uint8Array(begin + 4 * kept.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = limit === undefined ? 1 : 2;
  if (limit !== undefined) view.setUint32(1, mixUserHash(limit));
  for (const [i, user] of kept.entries()) view.setUint32(begin + 4 * i, user);
  return bytes;
}

function armOf(revision: number, basisPoints: number, users: Set<number>, failed: Set<number>): RevisionWindow {
  return create(RevisionWindowSchema, {
    ...{ revision, basisPoints, requests: users.size, errors: failed.size },
    ...{ users: told(users), usersWithErrors: told(failed) },
  });
}

/** The verdict on windows of 1,500 users each, a share of them on the new revision, by chance. */
function verdictOf(seed: number, { share, oldRate, newRate }: { share: number; oldRate: number; newRate: number }) {
  const random = linear(seed);
  const judgement = create(RouteJudgementSchema, { fromRevision: 1, toRevision: 2, alpha: 0.05, byUser: true });
  const setup = judgeSetup(judgement);
  const judge = createJudge(setup.options);
  const cohort = new UserCohort();
  for (let at = 0; at < 40; at++) {
    const arms = [0, 1].map(() => ({ users: new Set<number>(), failed: new Set<number>() }));
    for (let i = 0; i < 1_500; i++) {
      const user = Math.floor(random() * 2 ** 32);
      const isNew = random() < share;
      const arm = arms[isNew ? 1 : 0];
      arm?.users.add(user);
      if (random() < (isNew ? newRate : oldRate)) arm?.failed.add(user);
    }
    const revisions = arms.map(({ users, failed }, i) =>
      armOf(i + 1, Math.round((i === 0 ? 1 - share : share) * 10_000), users, failed),
    );
    const shown = judgeWindow(
      create(WindowSchema, { revisions }),
      armsOf(create(WindowSchema, { revisions }), judgement),
      {
        setup,
        cohort,
      },
    );
    if (typeof shown === "object") judge.observe(shown);
  }
  return judge.verdict().verdict;
}

test.each([0.5, 0.2])("of too many users a sample is judged, at its level, with a share of %d", (share) => {
  const trials = 40;
  const same = { share, oldRate: 0.05, newRate: 0.05 };
  let rolledBack = 0;
  for (let seed = 1; seed <= trials; seed++) if (verdictOf(seed, same) === "rollback") rolledBack++;
  expect(rolledBack / trials).toBeLessThanOrEqual(0.05 + 3 * Math.sqrt((0.05 * 0.95) / trials));
  for (let seed = 1; seed <= 3; seed++) {
    expect(verdictOf(seed, { ...same, newRate: 0.1 })).toBe("rollback");
  }
});

/** Numerical Recipes' linear congruential generator, the upper bits. */
function linear(seed: number): () => number {
  let state = Math.imul(seed, 2_654_435_761) >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  return () => (mixUserHash(next()) + 0.5) / 2 ** 32;
}
