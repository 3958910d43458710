// The editor of PromQL: CodeMirror with Prometheus's own language, completion and linting.
// 
// It lives in a shadow root, where CodeMirror makes its styles by constructed style sheets, which the content
// security policy lets pass; elsewhere it would need `<style>` elements, which it doesn't.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from "@codemirror/commands";
import { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting, syntaxTree } from "@codemirror/language";
import { lintKeymap } from "@codemirror/lint";
import { EditorState, Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, keymap, placeholder, tooltips } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { PREFIX } from "../lib/api";
import type { Annotation } from "./annotation";

export interface EditorOptions {
  doc: string;
  label: string;
  onChange: (text: string) => void;
  onSubmit: () => void;
}

export class Editor {
  private readonly view: EditorView;
  private readonly promql: PromQLExtension;

  constructor(host: HTMLElement, options: EditorOptions) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    this.promql = new PromQLExtension().setComplete({
      remote: { url: "", apiPrefix: `${PREFIX}/api/v1`, httpMethod: "POST", httpErrorHandler: () => {} },
    });
    this.view = new EditorView({
      parent: root,
      root,
      state: EditorState.create({ doc: options.doc, extensions: this.extensions(options) }),
    });
  }

  private extensions(options: EditorOptions) {
    const submit = () => {
      options.onSubmit();
      return true;
    };
    return [
      history(),
      indentOnInput(),
      bracketMatching(),
      closeBrackets(),
      autocompletion({ icons: false }),
      tooltips({ position: "fixed" }),
      EditorView.lineWrapping,
      placeholder("Expression, such as  sum by (job) (rate(http_requests_total[5m]))"),
      EditorView.contentAttributes.of({ "aria-label": options.label, spellcheck: "false", autocorrect: "off" }),
      keymap.of([...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...lintKeymap, ...defaultKeymap]),
      // Enter asks, unless it chooses a completion; with Shift it begins a line.
      Prec.high(keymap.of([{ key: "Mod-Enter", run: submit }])),
      keymap.of([{ key: "Shift-Enter", run: insertNewlineAndIndent }]),
      Prec.high(keymap.of([{ key: "Enter", run: (view) => !isCompleting(view) && submit() }])),
      this.promql.asExtension(),
      syntaxHighlighting(HIGHLIGHT),
      THEME,
      marks,
      EditorView.updateListener.of((update) => {
        if (update.docChanged) options.onChange(update.state.doc.toString());
      }),
    ];
  }

  set(text: string): void {
    if (this.view.state.doc.toString() === text) return;
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text } });
  }

  /** Puts text in place of what is selected. */
  insert(text: string): void {
    this.view.dispatch(this.view.state.replaceSelection(text));
    this.view.focus();
  }

  focus(at?: number): void {
    if (at !== undefined) {
      const anchor = Math.min(at, this.view.state.doc.length);
      this.view.dispatch({ selection: { anchor }, scrollIntoView: true });
    }
    this.view.focus();
  }

  /** Underlines where the server's errors and warnings are. They go when the text changes. */
  annotate(annotations: Annotation[]): void {
    this.view.dispatch({ effects: setMarks.of(annotations) });
  }

  /** Puts a colour behind a part of the query; null takes it away. */
  highlight(span: [number, number] | null): void {
    this.view.dispatch({ effects: setSpan.of(span) });
  }

  destroy(): void {
    this.promql.destroy();
    this.view.destroy();
  }
}

function isCompleting(view: EditorView): boolean {
  return view.dom.querySelector(".cm-tooltip-autocomplete") !== null;
}

const setMarks = StateEffect.define<Annotation[]>();
const setSpan = StateEffect.define<[number, number] | null>();

const marks = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(decorations, transaction) {
    if (transaction.docChanged) return Decoration.none;
    for (const effect of transaction.effects) {
      if (effect.is(setMarks)) return annotationMarks(transaction.state, effect.value);
      if (effect.is(setSpan)) return withSpan(transaction.state, decorations, effect.value);
    }
    return decorations;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function annotationMarks(state: EditorState, annotations: Annotation[]): DecorationSet {
  const ranges = annotations.flatMap(({ at, text, tone }) => {
    if (at === null || at >= state.doc.length) return [];
    const node = syntaxTree(state).resolveInner(at, 1);
    const to = Math.max(node.to, at + 1);
    return [Decoration.mark({ class: `cm-annotation cm-${tone}`, attributes: { title: text } }).range(at, Math.min(to, state.doc.length))];
  });
  return Decoration.set(ranges, true);
}

function withSpan(state: EditorState, decorations: DecorationSet, span: [number, number] | null): DecorationSet {
  const kept = decorations.update({ filter: (_from, _to, value) => value.spec.class !== "cm-span" });
  if (span === null) return kept;
  const [from, to] = [span[0], Math.min(span[1], state.doc.length)];
  return from < to ? kept.update({ add: [Decoration.mark({ class: "cm-span" }).range(from, to)] }) : kept;
}

const HIGHLIGHT = HighlightStyle.define([
  { tag: tags.number, color: "var(--tok-number)" },
  { tag: tags.string, color: "var(--tok-string)" },
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--tok-keyword)", fontWeight: "600" },
  { tag: [tags.function(tags.variableName), tags.modifier], color: "var(--tok-function)" },
  { tag: tags.labelName, color: "var(--tok-label)" },
  { tag: tags.operator, color: "var(--tok-operator)" },
  { tag: tags.comment, color: "var(--dim)", fontStyle: "italic" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--text)", fontSize: "14px", backgroundColor: "transparent" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "22px", maxHeight: "40vh" },
  ".cm-content": { padding: "8px 4px", caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-placeholder": { color: "var(--faint)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--accent-soft)", outline: "none" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "var(--bad-soft)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { background: "var(--selection)" },
  ".cm-annotation": { textDecoration: "underline wavy 1px", textUnderlineOffset: "4px" },
  ".cm-bad": { textDecorationColor: "var(--bad)" },
  ".cm-warn": { textDecorationColor: "var(--warn)" },
  ".cm-plain": { textDecorationColor: "var(--accent)" },
  // By default these are images at data: URLs, which the policy forbids.
  ".cm-lintRange": { backgroundImage: "none !important", textDecoration: "underline wavy 1px var(--bad)", textUnderlineOffset: "4px" },
  ".cm-lintRange-warning": { textDecorationColor: "var(--warn)" },
  ".cm-lintRange-info, .cm-lintRange-hint": { textDecorationColor: "var(--accent)" },
  ".cm-span": { backgroundColor: "var(--accent-soft)", borderRadius: "3px" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "8px", boxShadow: "var(--shadow)", overflow: "hidden", zIndex: "50" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "13px", maxHeight: "20em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "4px 10px", display: "flex", gap: "1em", color: "var(--text)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { marginLeft: "auto", fontStyle: "normal", opacity: "0.7", fontFamily: "var(--sans)", fontSize: "12px" },
  ".cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-completionInfo": { padding: "8px 10px", maxWidth: "26em", fontFamily: "var(--sans)", fontSize: "13px", lineHeight: "1.5" },
  ".cm-diagnostic": { padding: "6px 10px", fontFamily: "var(--sans)", fontSize: "13px", borderLeft: "3px solid var(--bad)" },
});
