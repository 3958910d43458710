//! Writing HTML so that what comes from outside stays text.

use model::labels::Labels;

/// A document being written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Appends markup of this program's own.
    pub(super) fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Appends text, escaped for elements and for attributes in quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Appends an element with text in it.
    pub(super) fn element(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.raw("<").raw(name).raw(">").text(text).raw("</").raw(name).raw(">")
    }

    /// Opens a table with these headings.
    pub(super) fn open_table(&mut self, headings: &[&str]) -> &mut Self {
        self.raw("<table><thead><tr>");
        for heading in headings {
            self.element("th", heading);
        }
        self.raw("</tr></thead><tbody>")
    }

    /// Closes a table.
    pub(super) fn close_table(&mut self) -> &mut Self {
        self.raw("</tbody></table>")
    }

    /// Appends a row of texts.
    pub(super) fn row(&mut self, cells: &[&str]) -> &mut Self {
        self.raw("<tr>");
        for cell in cells {
            self.element("td", cell);
        }
        self.raw("</tr>")
    }

    /// Appends a table of names and values.
    pub(super) fn pairs<'a>(&mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> &mut Self {
        self.raw("<table><tbody>");
        for (name, value) in pairs {
            self.raw("<tr>").element("th", name).element("td", value).raw("</tr>");
        }
        self.close_table()
    }

    /// Appends a cell with a label set.
    pub(super) fn labels_cell(&mut self, labels: &Labels) -> &mut Self {
        self.raw("<td><code>").text(&labels.to_string()).raw("</code></td>")
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        let mut html = Html::default();
        html.element("b", "<script>\"'&");
        assert_eq!(html.finish(), "<b>&lt;script&gt;&quot;&#39;&amp;</b>");
    }
}
