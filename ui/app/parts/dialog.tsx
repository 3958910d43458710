// A box above the page. The browser keeps the focus in it, and closes it on Escape.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { icons } from "./icons";

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const outside = (event: MouseEvent) => {
    if (event.target === dialog.current) onClose();
  };
  return (
    <dialog ref={dialog} aria-label={title} onClose={onClose} onMouseDown={outside}>
      <div class="dialog-head">
        <h2>{title}</h2>
        <button class="button quiet" aria-label="Close" onClick={onClose}><icons.close /></button>
      </div>
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}
