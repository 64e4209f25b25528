//! The page of metrics, read.

use serde_json::{Map, Value, json};

/// A number, with its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
}

/// All numbers of a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page(pub(super) Vec<Sample>);

impl Page {
    /// Reads Prometheus text. A line that is none is passed over.
    pub fn read(text: &str) -> Page {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Page(lines.filter_map(sample).collect())
    }

    /// The samples of that name.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }

    /// The sum of the samples of that name that have all these labels; none if there are none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has_all = |sample: &&Sample| {
            let has = |(name, value): &(&str, &str)| sample.label(name) == Some(value);
            labels.iter().all(has)
        };
        let values = self.of(name).filter(has_all).map(|sample| sample.value);
        values.reduce(|sum, value| sum + value)
    }

    /// For programs: by name, each with its labels.
    pub(super) fn json(&self) -> Value {
        let mut all = Map::new();
        for sample in &self.0 {
            let labels = sample.labels.iter();
            let labels: Map<_, _> = labels
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            let one = json!({ "labels": labels, "value": sample.value });
            let samples = all.entry(sample.name.clone());
            if let Value::Array(samples) = samples.or_insert_with(|| json!([])) {
                samples.push(one);
            }
        }
        Value::Object(all)
    }
}

impl Sample {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        labels.find(|(it, _)| it == name).map(|(_, value)| &**value)
    }
}

/// `name{label="value",...} number`
fn sample(line: &str) -> Option<Sample> {
    let (named, value) = line.rsplit_once(' ')?;
    let (name, labels) = match named.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (named, ""),
    };
    Some(Sample {
        name: name.to_owned(),
        labels: labels_in(labels)?,
        value: value.parse().ok()?,
    })
}

fn labels_in(mut text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (end, '"') => break end,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name.to_owned(), value));
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_name_and_label() {
        let page = Page::read(
            "# HELP a A.\na{x=\"1\",y=\"q\\\"},\\\\ \\n\"} 2\na{x=\"2\"} 3.5\nb 1e3\nno number\nc{broken 1\n",
        );
        assert_eq!(page.0.len(), 3);
        assert_eq!(page.0[0].label("y"), Some("q\"},\\ \n"));
        assert_eq!(page.value("a", &[]), Some(5.5));
        assert_eq!(page.value("a", &[("x", "2")]), Some(3.5));
        assert_eq!(page.value("a", &[("x", "3")]), None);
        assert_eq!(page.value("b", &[]), Some(1000.0));
        assert_eq!(page.json()["a"][1]["labels"]["x"], "2");
    }
}
