/** What a schema has against a value, in words for who typed it. */
import type * as z from 'zod/mini';

type SchemaError = z.core.$ZodError;

/** The first problem: where, and what would be right. */
export function problemOf({ issues }: SchemaError): string {
  const [issue] = issues;
  if (!issue) return 'not as expected';
  const where = issue.path.join('.');
  const at = where === '' ? '' : `${where}: `;
  switch (issue.code) {
    case 'unrecognized_keys':
      return `${at}unknown ${issue.keys.join(', ')}`;
    case 'invalid_type':
      return `${at}has to be a ${issue.expected}`;
    case 'invalid_value':
      return `${at}has to be one of ${issue.values.join(', ')}`;
    case 'too_small':
      return `${at}has to be at least ${issue.minimum}`;
    case 'too_big':
      return `${at}has to be at most ${issue.maximum}`;
    default:
      return `${at}is malformed`;
  }
}
