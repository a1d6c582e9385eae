import { KedgeError } from "@kedge/domain";
import type { Tensor } from "../tensor.ts";
import type { Expected } from "./example.ts";

/** What a model said to one example. */
export interface Answer {
  readonly label: string | undefined;
  /** The output that was asked for; undefined when it is the label that counts, or there is none. */
  readonly output: Tensor | undefined;
  /** Whether the output was named, so that the label is of no account. */
  readonly named: boolean;
}

/** Adds up how good answers are. */
export class Score {
  #examples = 0;
  #judged = 0;
  #right = 0;
  #numbers = 0;
  #absolute = 0;
  #squared = 0;
  readonly #tolerance: number;

  /** @param tolerance differences of numbers up to this are right; 0: numbers are not judged, their errors are measured. */
  constructor(tolerance: number) {
    this.#tolerance = tolerance;
  }

  /**
   * Compares one answer: a string with the label; a number with the label if there is one, else with an output of one
   * element, else with the place of the largest; numbers one by one.
   *
   * @throws KedgeError INVALID_FIELD when the answer is nothing that could be compared.
   */
  add({ label, output, named }: Answer, expected: Expected): void {
    this.#examples += 1;
    if (typeof expected === "object") {
      this.#measure(numbersOf(output), expected);
    } else if (typeof expected === "string" || (label !== undefined && !named)) {
      this.#judge(named ? textOf(output) : labelOf(label), String(expected));
    } else {
      const numbers = numbersOf(output);
      if (numbers.length === 1) this.#measure(numbers, [expected]);
      else this.#judge(String(largestPlace(numbers)), String(expected));
    }
  }

  /** examples, then accuracy and errors as far as there was something to judge or to measure. */
  get metrics(): Record<string, number> {
    return {
      examples: this.#examples,
      ...(this.#judged > 0 ? { accuracy: this.#right / this.#judged } : {}),
      ...(this.#numbers > 0
        ? {
            mean_absolute_error: this.#absolute / this.#numbers,
            root_mean_square_error: Math.sqrt(this.#squared / this.#numbers),
          }
        : {}),
    };
  }

  #judge(given: string, expected: string): void {
    this.#judged += 1;
    if (given === expected) this.#right += 1;
  }

  #measure(given: readonly number[], expected: readonly number[]): void {
    if (given.length !== expected.length) {
      throw new KedgeError("INVALID_FIELD", `expected has ${expected.length} numbers, the output ${given.length}`);
    }
    let largest = 0;
    for (const [i, value] of given.entries()) {
      const difference = Math.abs(value - (expected[i] ?? 0));
      if (!Number.isFinite(difference)) throw new KedgeError("INVALID_FIELD", `element ${i} of the output is ${value}`);
      largest = Math.max(largest, difference);
      this.#numbers += 1;
      this.#absolute += difference;
      this.#squared += difference ** 2;
    }
    if (this.#tolerance === 0) return;
    this.#judged += 1;
    if (largest <= this.#tolerance) this.#right += 1;
  }
}

function labelOf(label: string | undefined): string {
  if (label !== undefined) return label;
  throw new KedgeError("INVALID_FIELD", "the model gave no label: set labels in model.json, or name an output");
}

function textOf(output: Tensor | undefined): string {
  const [first, second] = output?.datatype === "BYTES" ? output.data : [];
  if (typeof first === "string" && second === undefined) return first;
  throw new KedgeError("INVALID_FIELD", "expected is a string, the output is not one of one element");
}

function numbersOf(output: Tensor | undefined): number[] {
  if (output === undefined) throw new KedgeError("INVALID_FIELD", "the model gave no output");
  if (output.datatype === "BYTES" || output.datatype === "FP16") {
    throw new KedgeError("INVALID_FIELD", `the output is ${output.datatype}, which is not compared with numbers`);
  }
  return Array.from<number | bigint | string, number>(output.data, Number);
}

function largestPlace(numbers: readonly number[]): number {
  return numbers.reduce((best, value, i) => (value > (numbers[best] ?? value) ? i : best), 0);
}
