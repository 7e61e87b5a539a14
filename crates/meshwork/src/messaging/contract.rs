//! What every [`MessageBroker`](super::MessageBroker) must do.
