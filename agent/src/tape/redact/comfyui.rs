//! What of ComfyUI may stay readable on a tape: of its JSON the words that jobs are told in, of graphs class types, node
//! ids and what models and samplers are called.

use super::keys::{Ids, Jobs, Vocabulary};

/// Requests, answers and messages.
pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    open: &[
        "data",
        "error",
        "errors",
        "exec_info",
        "images",
        "inputs",
        "node_errors",
        "output",
        "outputs",
        "prompt",
        "status",
    ],
    words: &[
        "ckpt_name",
        "class_type",
        "display_node",
        "display_node_id",
        "exception_type",
        "lora_name",
        "model_name",
        "model_path",
        "node",
        "node_id",
        "node_type",
        "parent_node_id",
        "prompt_id",
        "real_node_id",
        "sampler_name",
        "state",
        "status_str",
        "type",
        "unet_name",
    ],
    numbers: &["batch_size", "max", "number", "queue_remaining", "steps", "timestamp", "value"],
    lists: &["delete", "executed", "guider", "messages", "model", "nodes"],
    names: &[
        "clear",
        "client_id",
        "completed",
        "current_inputs",
        "current_outputs",
        "details",
        "exception_message",
        "extra_data",
        "extra_info",
        "filename",
        "front",
        "message",
        "meta",
        "sid",
        "subfolder",
        "text",
        "traceback",
    ],
    ids: Ids::Kept,
    jobs: Jobs::Told,
    fits: |parent, key| match parent {
        // A node's own settings, any of which may be a text of the caller's.
        "inputs" => SETTINGS.contains(&key),
        _ => !SETTINGS.contains(&key),
    },
};

/// Settings of nodes that name no text.
const SETTINGS: &[&str] =
    &["batch_size", "ckpt_name", "lora_name", "model_name", "model_path", "sampler_name", "steps", "unet_name"];

#[cfg(test)]
mod tests;
