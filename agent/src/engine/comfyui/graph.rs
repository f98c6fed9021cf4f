//! The graph in the body of `POST /prompt`: `{"prompt": {"3": {"class_type": "KSampler", "inputs": {…}}, …}, …}`.
//!
//! Of each node it keeps the id, the class type and, of its inputs, only the names of samplers, of what is loaded and of
//! the nodes that models come from. All other inputs, prompts among them, are passed over where they are read.
//!
//! # The workflow
//! Stands for the set of class types with how often each occurs: FNV-1a (64 bits) over the class types in ascending order
//! of their bytes, each followed by a line feed, folded to 48 bits by exclusive or of the upper 16 and the lower 48, in
//! twelve hexadecimal digits. Neither ids nor the order of nodes nor any input changes it. It is not given where the graph
//! was not read to its end.

use crate::engine::job::{Graph, Node};
use crate::issue::Issue;
use crate::wire::json::{Path, Reader, Value, whole};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nodes of one graph that are read, whoever tells of them.
pub(super) const MAX_NODES: usize = 4096;
/// Links from a sampler to what loads its model.
const MAX_LINKS: usize = 64;

/// Inputs that name a file with a model: what makes the images first, then what else may be loaded.
const MODELS: &[&str] = &["ckpt_name", "unet_name", "model_path", "model_name", "lora_name"];
/// Of these, inputs that are as good as each other.
const FIRST: usize = 3;

/// Node classes that say how many images they made.
const IMAGES: &[&str] = &["SaveImage", "PreviewImage"];

/// A body under way.
#[derive(Debug, Default)]
pub(super) struct Drawing {
    reader: Reader,
    id: Option<String>,
    nodes: BTreeMap<String, Draft>,
    /// The best input that names a model: its rank, and the name.
    model: Option<(usize, String)>,
    batches: BTreeSet<u64>,
    extent: Extent,
}

/// How much of the graph was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    /// Its end has not come yet.
    #[default]
    Part,
    Whole,
    /// It has more nodes than are read.
    TooMany,
}

#[derive(Debug, Default)]
struct Draft {
    class: Arc<str>,
    sampler: Option<Arc<str>>,
    /// The node that its model comes from.
    source: Option<String>,
}

impl Drawing {
    /// Reads on.
    pub fn push(&mut self, bytes: &[u8], issues: &mut Vec<Issue>) {
        let Drawing { reader, id, nodes, model, batches, extent } = self;
        let mut sheet = Sheet { id, nodes, model, batches, extent };
        let before = *sheet.extent;
        issues.extend(reader.push(bytes, &mut |path, value| sheet.draw(path, &value)).err());
        if before != Extent::TooMany && *extent == Extent::TooMany {
            issues.push(Issue::NodesOverBound);
        }
    }

    /// Bytes that were not copied: what follows can't be told from the inside of a text.
    pub fn elide(&mut self) {
        self.reader.elide();
    }

    /// The id that the client gave the job, which few do.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The graph, as far as it was read.
    pub fn graph(self) -> Graph {
        // Asked at the end only: what follows a document makes it none.
        let whole = self.extent == Extent::Whole || self.extent == Extent::Part && self.reader.is_complete();
        let model = match self.model {
            Some((_, ref name)) => name.clone(),
            None if whole => loader(&self.nodes).unwrap_or_default(),
            None => String::new(),
        };
        let images = images(&self.nodes, &self.batches).filter(|_| whole);
        let workflow = if whole { workflow(self.nodes.values().map(|draft| &*draft.class)) } else { String::new() };
        let node = |(id, Draft { class, sampler, .. })| (id, Node { class, sampler });
        Graph { nodes: self.nodes.into_iter().map(node).collect(), workflow, model, images }
    }
}

/// What is drawn on, beside the reader.
struct Sheet<'d> {
    id: &'d mut Option<String>,
    nodes: &'d mut BTreeMap<String, Draft>,
    model: &'d mut Option<(usize, String)>,
    batches: &'d mut BTreeSet<u64>,
    extent: &'d mut Extent,
}

impl Sheet<'_> {
    fn draw(&mut self, path: &Path, value: &Value<'_>) {
        if path.key(0) != Some(b"prompt") {
            if *self.extent == Extent::Part && !self.nodes.is_empty() {
                *self.extent = Extent::Whole;
            }
            if let Value::Str { head, .. } = value
                && path.is(&["prompt_id"])
            {
                *self.id = Some((*head).to_owned());
            }
            return;
        }
        let Some(node) = path.key(1).and_then(|key| str::from_utf8(key).ok()) else { return };
        if !self.nodes.contains_key(node) {
            if self.nodes.len() >= MAX_NODES {
                *self.extent = Extent::TooMany;
                return;
            }
            self.nodes.insert(node.to_owned(), Draft::default());
        }
        let Some(draft) = self.nodes.get_mut(node) else { return };
        let input = path.key(3).filter(|_| path.key(2) == Some(b"inputs"));
        match (path.depth(), input, value) {
            (3, None, Value::Str { head, .. }) if path.key(2) == Some(b"class_type") => draft.class = (*head).into(),
            (4, Some(b"sampler_name"), Value::Str { head, .. }) => draft.sampler = Some((*head).into()),
            (4, Some(b"batch_size"), Value::Number(number)) => self.batches.extend(whole(*number)),
            (4, Some(key), Value::Str { head, .. }) => self.name(key, head),
            (5, Some(b"model" | b"guider"), Value::Str { head, .. }) if path.index(4) == Some(0) => {
                draft.source = Some((*head).to_owned());
            }
            _ => {}
        }
    }

    /// An input that may name a model.
    fn name(&mut self, key: &[u8], name: &str) {
        let Some(rank) = MODELS.iter().position(|known| known.as_bytes() == key) else { return };
        let rank = if rank < FIRST { 0 } else { rank };
        if self.model.as_ref().is_none_or(|(best, _)| rank < *best) {
            *self.model = Some((rank, name.to_owned()));
        }
    }
}

/// The class of the node that the model of a sampler comes from.
fn loader(nodes: &BTreeMap<String, Draft>) -> Option<String> {
    let samples = |draft: &&Draft| draft.sampler.is_some() || draft.class.contains("Sampler");
    let mut node = nodes.values().filter(samples).find_map(|draft| nodes.get(draft.source.as_ref()?))?;
    for _ in 0..MAX_LINKS {
        let Some(source) = node.source.as_ref().and_then(|source| nodes.get(source)) else { break };
        node = source;
    }
    Some(node.class.to_string())
}

/// Images that the nodes which show or save some make of one batch; `None` where batches differ.
fn images(nodes: &BTreeMap<String, Draft>, batches: &BTreeSet<u64>) -> Option<u64> {
    let outputs = nodes.values().filter(|draft| IMAGES.contains(&&*draft.class)).count() as u64;
    let mut batches = batches.iter();
    let batch = batches.next().copied().unwrap_or(1);
    batches.next().is_none().then(|| outputs.saturating_mul(batch))
}

fn workflow<'c>(classes: impl Iterator<Item = &'c str>) -> String {
    let mut classes: Vec<_> = classes.collect();
    classes.sort_unstable();
    let bytes = classes.iter().flat_map(|class| class.bytes().chain([b'\n']));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{:012x}", (hash >> 48) ^ (hash & 0xffff_ffff_ffff))
}

#[cfg(test)]
mod tests;
