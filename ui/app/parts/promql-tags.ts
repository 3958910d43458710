// Which class a token of PromQL gets, in the editor and elsewhere.

import { tags } from "@lezer/highlight";

export const promQLTags = [
  { tag: tags.number, class: "tok-number" },
  { tag: tags.string, class: "tok-string" },
  { tag: tags.keyword, class: "tok-keyword" },
  { tag: [tags.function(tags.variableName), tags.modifier], class: "tok-function" },
  { tag: tags.labelName, class: "tok-label" },
  { tag: tags.operator, class: "tok-operator" },
  { tag: tags.operatorKeyword, class: "tok-keyword" },
  { tag: tags.comment, class: "tok-comment" },
  { tag: tags.invalid, class: "tok-invalid" },
  { tag: [tags.paren, tags.squareBracket, tags.brace], class: "tok-punct" },
];
