// Shows what went wrong where a component fails, and leaves the rest of the page alone.

import { Component, type ComponentChildren } from "preact";

export class ErrorBoundary extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: null as unknown };

  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div class="note bad" role="alert">
        <strong>This part of the page failed.</strong> {error instanceof Error ? error.message : String(error)}{" "}
        <button class="button quiet" onClick={() => this.setState({ error: null })}>
          Try again
        </button>
      </div>
    );
  }
}
