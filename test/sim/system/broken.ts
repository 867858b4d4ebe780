/** What a run ends with when a rule was broken: the rule's name leads the message. */
export class Broken extends Error {
  readonly rule: string;

  constructor(rule: string, what: string) {
    super(`[${rule}] ${what}`);
    this.name = 'Broken';
    this.rule = rule;
  }
}
