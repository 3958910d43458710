// Where in a query an error or a warning of the server is.

export interface Annotation {
  tone: "bad" | "warn" | "plain";
  text: string;
  /** The offset in the query, in UTF-16 units, if the server told one. */
  at: number | null;
}

/** Errors begin with a position, as in `1:4: parse error: …`; annotations end with one, as in `… (1:12)`. */
const AT_BEGIN = /(?:^|: )(\d+):(\d+): parse error/;
const AT_END = /\((\d+):(\d+)\)$/;

export function annotation(tone: Annotation["tone"], text: string, query: string): Annotation {
  const found = AT_END.exec(text) ?? AT_BEGIN.exec(text);
  return { tone, text, at: found ? offset(query, Number(found[1]), Number(found[2])) : null };
}

/** The offset of a line and a column, both from 1; columns are bytes of UTF-8. */
function offset(query: string, line: number, column: number): number | null {
  const lines = query.split("\n");
  const text = lines[line - 1];
  if (text === undefined) return null;
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  return before + unitsOfBytes(text, column - 1);
}

/** How many UTF-16 units so many bytes of UTF-8 are. */
export function unitsOfBytes(text: string, bytes: number): number {
  const encoder = new TextEncoder();
  let units = 0;
  let seen = 0;
  for (const character of text) {
    seen += encoder.encode(character).length;
    if (seen > bytes) break;
    units += character.length;
  }
  return units;
}
