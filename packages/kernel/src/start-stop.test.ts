import { expect, test } from "vitest";
import { silentLogger } from "./logger.ts";
import { type Component, ComponentGroup } from "./start-stop.ts";

const journal = (): { readonly lines: string[]; component(name: string, fails?: "start" | "stop"): Component } => {
  const lines: string[] = [];
  const act = async (name: string, action: "start" | "stop", fails?: string): Promise<void> => {
    lines.push(`${action} ${name}`);
    if (fails === action) throw new Error(`${name} cannot ${action}`);
  };
  return {
    lines,
    component: (name, fails) => ({
      name,
      start: () => act(name, "start", fails),
      stop: () => act(name, "stop", fails),
    }),
  };
};

const signal = new AbortController().signal;

test("starts in order and stops in reverse, once", async () => {
  const { lines, component } = journal();
  const group = new ComponentGroup([component("a"), component("b")], silentLogger);
  await group.start(signal);
  await group.stop();
  await group.stop();
  expect(lines).toEqual(["start a", "start b", "stop b", "stop a"]);
});

test("when one fails to start, those before it are stopped and the error comes out", async () => {
  const { lines, component } = journal();
  const group = new ComponentGroup([component("a"), component("b", "start"), component("c")], silentLogger);
  await expect(group.start(signal)).rejects.toThrow("b cannot start");
  expect(lines).toEqual(["start a", "start b", "stop a"]);
});

test("stopping goes on past a failure", async () => {
  const { lines, component } = journal();
  const group = new ComponentGroup([component("a"), component("b", "stop")], silentLogger);
  await group.start(signal);
  await group.stop();
  expect(lines.slice(2)).toEqual(["stop b", "stop a"]);
});

test("an aborted start starts nothing more", async () => {
  const { lines, component } = journal();
  const group = new ComponentGroup([component("a")], silentLogger);
  await expect(group.start(AbortSignal.abort(new Error("no")))).rejects.toThrow("no");
  expect(lines).toEqual([]);
});
