// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+/g;

/** Text from elsewhere on one line, without control, hidden and direction characters, cut to `most` characters. */
export function plainText(text: string, most: number): string {
  const plain = text.replace(HIDDEN, " ").toWellFormed().trim();
  const characters = [...plain.slice(0, 2 * most + 2)];
  return characters.length <= most ? plain : `${characters.slice(0, most - 1).join("")}…`;
}
