import { SaxesParser } from "saxes";
import { InvalidReport } from "./report.ts";

/** Attributes of an element by name. */
export type XmlAttributes = Readonly<Record<string, string>>;

/** What is told while a document is read. Names come without their namespace prefix. */
export interface XmlListener {
  /** `path`: names of the elements that it is in, the outermost first, its own last. */
  open(name: string, attributes: XmlAttributes, path: readonly string[]): void;
  close?(name: string): void;
}

const MAX_DEPTH = 200;
const MAX_ELEMENTS = 5_000_000;

/**
 * Reads an XML document. Entities other than XML's own five are refused, and nothing outside the text is looked at.
 *
 * @throws InvalidReport for what is no XML, or is nested too deep or too large.
 */
export function readXml(text: string, listener: XmlListener): void {
  const parser = new SaxesParser();
  const path: string[] = [];
  let elements = 0;
  parser.on("error", (error) => {
    throw new InvalidReport(`is not XML: ${error.message}`);
  });
  parser.on("opentag", ({ name, attributes }) => {
    elements += 1;
    if (path.length >= MAX_DEPTH || elements > MAX_ELEMENTS) throw new InvalidReport("has too many elements");
    path.push(localName(name));
    listener.open(localName(name), attributes, path);
  });
  parser.on("closetag", ({ name }) => {
    path.pop();
    listener.close?.(localName(name));
  });
  parser.write(text).close();
}

function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

/** The number that an attribute holds; undefined when it holds none that counts something. */
export function amountOf(attributes: XmlAttributes, name: string): number | undefined {
  const text = Object.hasOwn(attributes, name) ? (attributes[name] ?? "").replaceAll(",", "") : "";
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) && value >= 0 ? value : undefined;
}
