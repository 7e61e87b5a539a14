//! How long a whole message would be as JSON, mostly without writing it.

use serde_json::{Map, Value};

use super::errors::SendError;
use crate::messaging::Message;

/// Refuses a message whose JSON is longer than that, in bytes.
pub(super) fn check(message: &Message, limit: usize) -> Result<(), SendError> {
    if at_most(message) <= limit {
        return Ok(());
    }
    let mut length = Length(0);
    let found = serde_json::to_writer(&mut length, message).map_or(usize::MAX, |()| length.0);
    if found > limit { Err(SendError::TooLarge { limit, found }) } else { Ok(()) }
}

/// Counts what is written, and keeps nothing.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// More than the names of the fields take with all that stands between them, a time and a way of routing.
const FIELDS: usize = 256;
/// No number is longer: a sign, seventeen digits, a point, and an exponent.
const NUMBER: usize = 25;

/// It is not longer than that. Messages far from the limit are decided by it.
fn at_most(message: &Message) -> usize {
    let Message { kind, payload, sender_id, recipient_id, timestamp: _, message_id, routing_type: _, metadata } =
        message;
    let id = match message_id {
        Some(super::MessageId::Name(name)) => text(name),
        Some(super::MessageId::Number(_)) => NUMBER,
        None => 0,
    };
    let names = [sender_id, recipient_id].into_iter().flatten().map(|name| text(name)).sum();
    let parts: [usize; 5] = [FIELDS, text(kind), value(payload), id, metadata.as_ref().map_or(0, object)];
    parts.into_iter().fold(names, usize::saturating_add)
}

/// Every character escaped, within quotes.
fn text(text: &str) -> usize {
    text.len().saturating_mul(6).saturating_add(2)
}

fn value(of: &Value) -> usize {
    match of {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => NUMBER,
        Value::String(string) => text(string),
        Value::Array(items) => items.iter().map(|item| value(item) + 1).fold(2, usize::saturating_add),
        Value::Object(entries) => object(entries),
    }
}

fn object(entries: &Map<String, Value>) -> usize {
    let entry = |(key, of): (&String, &Value)| text(key).saturating_add(value(of)).saturating_add(2);
    entries.iter().map(entry).fold(2, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::broker::MessageId;
    use crate::messaging::RoutingType;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\"\\\\\u{0}-\u{1f}]{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    fn any_id() -> impl Strategy<Value = Option<MessageId>> {
        prop_oneof![
            Just(None),
            any::<u64>().prop_map(|number| Some(MessageId::Number(number))),
            any::<String>().prop_map(|name| Some(name.into())),
        ]
    }

    proptest! {
        #[test]
        fn exactly_what_is_longer_is_refused(
            (kind, sender, to) in any::<(String, Option<String>, Option<String>)>(),
            payload in any_value(),
            message_id in any_id(),
            timestamp: u64,
            routed: bool,
            metadata in prop::option::of(prop::collection::vec((any::<String>(), any_value()), 0..3)),
        ) {
            let message = Message {
                sender_id: sender.map(Into::into),
                recipient_id: to.map(Into::into),
                message_id,
                routing_type: routed.then_some(RoutingType::Broadcast),
                metadata: metadata.map(|entries| entries.into_iter().collect()),
                ..Message::new(kind, payload, timestamp)
            };
            let length = serde_json::to_string(&message).unwrap().len();
            prop_assert!(at_most(&message) >= length);
            prop_assert!(check(&message, length).is_ok());
            let refused = check(&message, length - 1);
            let right = matches!(refused, Err(SendError::TooLarge { found, .. }) if found == length);
            prop_assert!(right, "{:?}", refused);
        }
    }

    #[test]
    fn a_plain_message_is_decided_without_being_written() {
        let message = Message::new("work", json!({ "text": "x".repeat(256), "n": [1, 2.5, null] }), u64::MAX);
        assert!(at_most(&message) < 8 * 256, "{}", at_most(&message));
    }
}
