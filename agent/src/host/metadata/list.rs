//! A list of pods in JSON: the kubelet's `PodList`, or the API server's `PartialObjectMetadataList`. Bytes in, what is wanted out.
//!
//! The kubelet's has everything of every pod: environments, annotations, commands. All of that is passed over, and what is
//! said of a list that can't be read is where it can't, never what stands there.

use super::{Described, Metadata, Owner};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Pods of one list; the largest nodes have some hundred.
const MOST_PODS: usize = 4096;

/// The label by which a deployment tells its replica sets apart: they are called as it is, with this at the end.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Why a list can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is none, seen here.
    #[error("no list of pods (line {line}, column {column})")]
    Unreadable {
        /// From 1; 0 where it isn't known.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is of more than a node.
    #[error("more than {MOST_PODS} pods, which no node has")]
    TooMany,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    items: Items<'a>,
}

/// At most one more than is taken.
struct Items<'a>(Vec<Item<'a>>);

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    metadata: Said<'a>,
}

/// Go writes what is empty as null, or not at all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    #[serde(borrow, default)]
    namespace: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    uid: Option<Text<'a>>,
    #[serde(borrow, default)]
    labels: Option<BTreeMap<Text<'a>, Text<'a>>>,
    #[serde(borrow, default)]
    owner_references: Option<Vec<Reference<'a>>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(default)]
    controller: Option<bool>,
}

/// Text that is copied only where it has to be.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a list says, of labels those of these keys.
///
/// # Errors
/// Where it is none, or has more pods than any node.
pub fn read(json: &[u8], keys: &[String]) -> Result<Metadata, Unusable> {
    let list: List<'_> = serde_json::from_slice(json)
        .map_err(|error| Unusable::Unreadable { line: error.line(), column: error.column() })?;
    if list.items.0.len() > MOST_PODS {
        return Err(Unusable::TooMany);
    }
    let pods = list.items.0.into_iter().filter_map(|item| described(item.metadata, keys)).collect();
    Ok(Metadata { node: None, pods })
}

type Entry = ((Arc<str>, Arc<str>), Arc<Described>);

/// A pod; none of one without a name.
fn described(said: Said<'_>, keys: &[String]) -> Option<Entry> {
    let Said { namespace, name, uid, labels, owner_references } = said;
    let labels = labels.unwrap_or_default();
    let value = |key: &str| labels.get(key).map(|value| &*value.0);
    let mut references = owner_references.unwrap_or_default().into_iter();
    let controller = references.find(|reference| reference.controller == Some(true));
    let controller = controller.map(|Reference { kind, name, .. }| Owner { kind: kind.kept(), name: name.kept() });
    let wanted = keys.iter().filter_map(|key| Some((key.as_str().into(), value(key)?.into())));
    let described = Described {
        uid: uid.map(|uid| uid.kept()).unwrap_or_default(),
        deployment: controller.as_ref().and_then(|controller| deployment(controller, value(TEMPLATE_HASH)?)),
        controller,
        labels: wanted.collect(),
    };
    Some(((namespace?.kept(), name?.kept()), Arc::new(described)))
}

/// The deployment that made this replica set, as the hash proves.
fn deployment(controller: &Owner, hash: &str) -> Option<Arc<str>> {
    let is_set = &*controller.kind == "ReplicaSet" && !hash.is_empty();
    let name = controller.name.strip_suffix(hash)?.strip_suffix('-')?;
    (is_set && !name.is_empty()).then(|| name.into())
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Text<'_> {
    fn kept(&self) -> Arc<str> {
        self.0.as_ref().into()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pods;

        impl<'de> Visitor<'de> for Pods {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("pods")
            }

            fn visit_unit<E>(self) -> Result<Items<'de>, E> {
                Ok(Items(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while items.len() <= MOST_PODS {
                    let Some(item) = list.next_element()? else { return Ok(Items(items)) };
                    items.push(item);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Items(items))
            }
        }

        deserializer.deserialize_any(Pods)
    }
}
