/** Any plain object as aligned names and values: scalars first, then a group for each part. */
import { columns, indented } from './columns.ts';
import type { Paint } from './paint.ts';

/** The lines for `facts`: nothing is left out, and nothing is explained. */
export function factsView(facts: object, paint: Paint): string[] {
  const entries = Object.entries(facts);
  const scalars = entries.filter(([, value]) => !isPart(value));
  const parts = entries.filter(([, value]) => isPart(value));
  const lines = columns(scalars.map(([name, value]) => [paint.faint(name), scalarText(value)]));
  for (const [name, value] of parts) {
    const body = Array.isArray(value) ? listView(value, paint) : factsView(value as object, paint);
    lines.push(...(lines.length > 0 ? [''] : []), paint.strong(name), ...indented(body));
  }
  return lines;
}

/** A list of objects with the same scalar fields is a table; anything else is one item a line. */
function listView(items: readonly unknown[], paint: Paint): string[] {
  if (items.length === 0) return ['none'];
  const rows = items.filter((item) => isFlat(item));
  const names = Object.keys(rows[0] ?? {});
  if (rows.length < items.length || names.length === 0) {
    return items.flatMap((item) =>
      isPart(item) ? factsView(item as object, paint) : scalarText(item),
    );
  }
  const cells = rows.map((row) => names.map((name) => scalarText(row[name])));
  const aligns = names.map((name) =>
    rows.every((row) => typeof row[name] === 'number') ? ('right' as const) : ('left' as const),
  );
  const [head = '', ...body] = columns([names, ...cells], aligns);
  return [paint.faint(head), ...body];
}

/** An object or a list that has something in it, or could have. */
function isPart(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function isFlat(value: unknown): value is Readonly<Record<string, unknown>> {
  return isPart(value) && !Array.isArray(value) && !Object.values(value as object).some(isPart);
}

function scalarText(value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
