//! The arguments of an event: JSON in which bytes may stand, which travel beside it as attachments.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use serde_json::Number;

/// The arguments, without the event's name. They are serialised as a tuple, which the library takes for arguments
/// of their own rather than for one that is a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arguments(pub(super) Vec<Argument>);

/// One of them, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Bytes(Bytes),
    List(Vec<Argument>),
    /// In the order in which they came.
    Object(Vec<(String, Argument)>),
}

impl Arguments {
    /// Reads the payload of an event: a list that begins with its name, and its attachments. None where it is
    /// malformed, or refers to an attachment that did not come, or to one twice: a few bytes of JSON would otherwise
    /// stand for many of an attachment, each copied into the answers.
    pub(super) fn read(json: &str, attachments: &VecDeque<Bytes>) -> Option<Arguments> {
        let mut all = serde_json::from_str::<Vec<Argument>>(json).ok()?;
        if all.is_empty() {
            return None;
        }
        all.remove(0);
        let mut left: Vec<_> = attachments.iter().cloned().map(Some).collect();
        let are_whole = left.is_empty() || all.iter_mut().all(|it| it.attach(&mut left));
        are_whole.then_some(Arguments(all))
    }
}

impl Argument {
    /// Puts attachments that are `left` where their placeholders stand; whether there was one for each.
    fn attach(&mut self, left: &mut [Option<Bytes>]) -> bool {
        match self {
            Argument::List(items) => items.iter_mut().all(|item| item.attach(left)),
            Argument::Object(fields) => match fields.as_slice() {
                [
                    (first, Argument::Bool(true)),
                    (second, Argument::Number(place)),
                ] if first == "_placeholder" && second == "num" => {
                    let place = place.as_u64().and_then(|place| usize::try_from(place).ok());
                    let attachment = place.and_then(|place| left.get_mut(place)?.take());
                    let Some(bytes) = attachment else {
                        return false;
                    };
                    *self = Argument::Bytes(bytes);
                    true
                }
                _ => fields.iter_mut().all(|(_, field)| field.attach(left)),
            },
            _ => true,
        }
    }

    /// What `String(argument)` is in JavaScript, where it came as JSON and bytes came as a `Buffer`.
    pub(super) fn to_text(&self) -> String {
        match self {
            Argument::Null => "null".to_owned(),
            Argument::Bool(it) => it.to_string(),
            Argument::Number(number) => number_to_text(number),
            Argument::Text(text) => text.clone(),
            Argument::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Argument::List(items) => {
                let texts = items.iter().map(|item| match item {
                    Argument::Null => String::new(),
                    item => item.to_text(),
                });
                texts.collect::<Vec<_>>().join(",")
            }
            Argument::Object(_) => "[object Object]".to_owned(),
        }
    }
}

/// As JavaScript writes it, to which every number is a double (ECMA-262, Number::toString).
fn number_to_text(number: &Number) -> String {
    let Some(value) = number.as_f64() else {
        return number.to_string();
    };
    // Rust writes -0 with its sign.
    let value = if value == 0.0 { 0.0 } else { value };
    if value == 0.0 || (1e-6..1e21).contains(&value.abs()) {
        value.to_string()
    } else if value.abs() >= 1e21 {
        format!("{value:e}").replace('e', "e+")
    } else {
        format!("{value:e}")
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfJson)
    }
}

/// Reads an argument, of whatever kind it is.
struct OfJson;

impl<'de> Visitor<'de> for OfJson {
    type Value = Argument;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Argument, E> {
        Ok(Argument::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Argument, E> {
        Ok(Argument::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Argument, E> {
        Ok(Argument::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Argument, E> {
        Ok(Argument::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Argument, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no finite number"))?;
        Ok(Argument::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Argument, E> {
        Ok(Argument::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Argument, E> {
        Ok(Argument::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Argument, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Argument::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Argument, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Argument::Object(fields))
    }
}

impl Serialize for Argument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Argument::Null => serializer.serialize_unit(),
            Argument::Bool(value) => serializer.serialize_bool(*value),
            Argument::Number(number) => number.serialize(serializer),
            Argument::Text(text) => serializer.serialize_str(text),
            Argument::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Argument::List(items) => serializer.collect_seq(items),
            Argument::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, field)| (name, field)))
            }
        }
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in &self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, attachments: &[&'static [u8]]) -> Option<Arguments> {
        let attachments = attachments.iter().copied().map(Bytes::from_static);
        Arguments::read(json, &attachments.collect())
    }

    #[test]
    fn attachments_stand_where_their_placeholders_did() {
        let read_one = read(
            r#"["message",[{"_placeholder":true,"num":1}],{"_placeholder":true,"num":0}]"#,
            &[b"a", b"b"],
        );
        let expected = vec![
            Argument::List(vec![Argument::Bytes(Bytes::from_static(b"b"))]),
            Argument::Bytes(Bytes::from_static(b"a")),
        ];
        assert_eq!(read_one, Some(Arguments(expected)));
        let missing = r#"["message",{"_placeholder":true,"num":1}]"#;
        assert_eq!(read(missing, &[b"a"]), None);
        let twice = r#"["message",[{"_placeholder":true,"num":0}],{"_placeholder":true,"num":0}]"#;
        assert_eq!(read(twice, &[b"a"]), None);
    }

    /// Without attachments it is an object like any other.
    #[test]
    fn arguments_are_written_as_they_were_read() {
        let json =
            r#"["message",{"_placeholder":true,"num":0},{"b\"\n":1,"a":[null,-2.5,"é"]},{}]"#;
        let arguments = read(json, &[]).expect("JSON");
        let written = serde_json::to_string(&arguments).expect("JSON");
        assert_eq!(written, json.replacen(r#""message","#, "", 1));
    }

    #[test]
    fn what_is_malformed_is_none() {
        for json in [
            "",
            "[]",
            "{}",
            "[\"message\"",
            "[\"message\",1]x",
            "[\"message\",1e999]",
        ] {
            assert_eq!(read(json, &[]), None, "{json}");
        }
        let deep = format!("[\"message\",{}{}]", "[".repeat(200), "]".repeat(200));
        assert_eq!(read(&deep, &[]), None);
    }

    #[test]
    fn text_is_what_javascript_makes_of_it() {
        for (json, expected) in [
            (r#""Hello""#, "Hello"),
            ("null", "null"),
            ("true", "true"),
            ("1", "1"),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("-2.5", "-2.5"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("12345678901234567890", "12345678901234567000"),
            ("1.5e-7", "1.5e-7"),
            ("0.000001", "0.000001"),
            (r#"[1,[2,null],"a"]"#, "1,2,,a"),
            (r#"{"a":1}"#, "[object Object]"),
        ] {
            let argument: Argument = serde_json::from_str(json).expect("JSON");
            assert_eq!(argument.to_text(), expected, "{json}");
        }
        let bytes = Argument::Bytes(Bytes::from_static(b"caf\xc3\xa9"));
        assert_eq!(bytes.to_text(), "café");
    }
}
