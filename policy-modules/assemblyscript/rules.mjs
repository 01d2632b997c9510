// Names the rules of a policy in the section `kmss.rules` (docs/policy-abi.md, section 6). In the policy's own file
// each line of this form is one:
//
//     const OVER: u32 = 2; // rule tenant-rate.over: the tenant's budget is spent
//
// The part from the colon on, why, may be missing.
import { Transform } from "assemblyscript/transform";

const RULE = /^const \w+: u32 = (\d+); \/\/ rule ([^:\n]+)(?:: (.+))?$/gm;

export default class Rules extends Transform {
  afterParse(parser) {
    const entry = parser.sources.find((source) => source.sourceKind === 1 && !source.normalizedPath.startsWith("~"));
    const found = [...entry.text.matchAll(RULE)];
    this.rules = found.map(([, number, name, reason]) => ({ number: Number(number), texts: [name, reason ?? ""] }));
    this.rules.sort((a, b) => a.number - b.number);
  }

  afterCompile(module) {
    const texts = this.rules.map((rule) => rule.texts.map((text) => new TextEncoder().encode(text)));
    const words = [1, this.rules.length];
    let end = 8 + 20 * this.rules.length;
    this.rules.forEach((rule, i) => {
      words.push(rule.number);
      for (const text of texts[i]) {
        words.push(end, text.length);
        end += text.length;
      }
    });
    const bytes = [...new Uint8Array(Uint32Array.from(words).buffer), ...texts.flat().flatMap((text) => [...text])];
    module.addCustomSection("kmss.rules", Uint8Array.from(bytes));
  }
}
