// A list of any length, of which only what is seen is in the document.

import { Virtualizer, elementScroll, observeElementOffset, observeElementRect, observeWindowOffset, observeWindowRect, windowScroll } from "@tanstack/virtual-core";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";

interface Props<T> {
  items: T[];
  /** What a row is known by, so that its height is remembered. */
  itemKey: (item: T, index: number) => string;
  /** What a row is thought to be high, in pixels, before it is seen. */
  height: (item: T) => number;
  children: (item: T, index: number) => ComponentChildren;
  label: string;
  /** Scrolls by itself, in a box as high as its parent lets it be, and not with the page. */
  boxed?: boolean;
}

/** Rows kept beyond both edges, for the keyboard and for searching in the page. */
const OVERSCAN = 12;

export function VirtualList<T>(props: Props<T>) {
  return props.boxed ? <BoxedList {...props} /> : <PageList {...props} />;
}

function BoxedList<T>(props: Props<T>) {
  const box = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer<HTMLDivElement>({
    ...shared(props),
    getScrollElement: () => box.current,
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
  });
  return (
    <div ref={box} class="boxed" tabIndex={0} role="group" aria-label={props.label}>
      <Rows virtualizer={virtualizer} start={0} {...props} />
    </div>
  );
}

function PageList<T>(props: Props<T>) {
  const list = useRef<HTMLDivElement>(null);
  const [start, setStart] = useState(0);
  useLayoutEffect(() => {
    if (list.current) setStart(list.current.getBoundingClientRect().top + scrollY);
  });
  const virtualizer = useVirtualizer<Window>({
    ...shared(props),
    getScrollElement: () => window,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    scrollMargin: start,
    initialOffset: () => scrollY,
  });
  return (
    <div ref={list}>
      <Rows virtualizer={virtualizer} start={start} {...props} />
    </div>
  );
}

function shared<T>(props: Props<T>) {
  return {
    count: props.items.length,
    estimateSize: (index: number) => props.height(props.items[index]!),
    getItemKey: (index: number) => props.itemKey(props.items[index]!, index),
    overscan: OVERSCAN,
  };
}

function Rows<T, S extends Element | Window>(props: Props<T> & { virtualizer: Virtualizer<S, Element>; start: number }) {
  const { virtualizer, start, items } = props;
  const rows = virtualizer.getVirtualItems();
  const offset = (rows[0]?.start ?? start) - start;
  return (
    <div class="virtual" style={{ height: `${virtualizer.getTotalSize()}px` }}>
      <div role="list" aria-label={props.label} style={{ transform: `translateY(${offset}px)` }}>
        {rows.map((row) => (
          <div
            key={row.key}
            role="listitem"
            aria-setsize={items.length}
            aria-posinset={row.index + 1}
            data-index={row.index}
            ref={(element) => virtualizer.measureElement(element)}
          >
            {items[row.index] !== undefined && props.children(items[row.index]!, row.index)}
          </div>
        ))}
      </div>
    </div>
  );
}

type Options<S extends Element | Window> = ConstructorParameters<typeof Virtualizer<S, Element>>[0];

function useVirtualizer<S extends Element | Window>(options: Options<S>): Virtualizer<S, Element> {
  const [, redraw] = useReducer((n: number, _: void) => n + 1, 0);
  const resolved = { ...options, onChange: () => redraw() };
  const [virtualizer] = useState(() => new Virtualizer<S, Element>(resolved));
  virtualizer.setOptions(resolved);
  useEffect(() => virtualizer._didMount(), []);
  useLayoutEffect(() => virtualizer._willUpdate());
  return virtualizer;
}
