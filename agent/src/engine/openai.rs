//! OpenAI dialect.
