import { safeText } from "./text.ts";

const GAP = "  ";
const MIN_COLUMN = 8;

/** A table for people. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/**
 * Aligned columns without borders. When the table is wider than `width`, the widest columns are cut first, each down to
 * 8 characters at least; `width` undefined: nothing is cut.
 */
export function renderTable(table: Table, width: number | undefined): string[] {
  const lines = [table.columns, ...table.rows].map((row) => row.map(safeText));
  const widths = table.columns.map((_, i) => Math.max(...lines.map((row) => row[i]?.length ?? 0)));
  if (width !== undefined) shrink(widths, width);
  return lines.map((row) =>
    row
      .map((cell, i) => fit(cell, widths[i] ?? 0))
      .join(GAP)
      .trimEnd(),
  );
}

function shrink(widths: number[], limit: number): void {
  const total = (): number => widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1);
  for (let over = total() - limit; over > 0; over = total() - limit) {
    const sorted = [...widths].sort((a, b) => b - a);
    const widest = sorted[0] ?? 0;
    if (widest <= MIN_COLUMN) return;
    // Down to the next widest column, so that columns of about the same width are cut alike.
    const next = sorted.find((width) => width < widest) ?? 0;
    const cut = Math.min(over, Math.max(1, widest - Math.max(next, MIN_COLUMN)));
    widths[widths.indexOf(widest)] = widest - cut;
  }
}

function fit(cell: string, width: number): string {
  return cell.length <= width ? cell.padEnd(width) : `${cell.slice(0, Math.max(0, width - 1))}…`;
}
