//! Which models have series of their own: at most so many per engine. Pure.

use super::label::sanitised;
use crate::issue::Issue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Stands for every model beyond the cap.
const OTHER: &str = "other";

/// HTTP's "not found": the answer to a model that the server does not have.
const NOT_FOUND: u16 = 404;

/// Models that were admitted, and the services that serve them.
#[derive(Debug)]
pub struct Models {
    most: usize,
    admitted: BTreeMap<&'static str, BTreeMap<Arc<str>, BTreeSet<Arc<str>>>>,
}

impl Models {
    /// At most `most` models per engine.
    pub fn new(most: u32) -> Models {
        Models { most: usize::try_from(most).unwrap_or(usize::MAX), admitted: BTreeMap::new() }
    }

    /// The label value for a model that `service` answered for with `code`.
    ///
    /// A model that the server does not have is an invention of its client, who must not use up the cap.
    pub fn admit(
        &mut self,
        engine: &'static str,
        service: &Arc<str>,
        model: &str,
        code: Option<u16>,
    ) -> (Arc<str>, Option<Issue>) {
        let model = sanitised(model);
        // "No model known" is no model, and takes no place.
        if model.is_empty() {
            return (model, None);
        }
        let models = self.admitted.entry(engine).or_default();
        if let Some(services) = models.get_mut(&model) {
            services.insert(Arc::clone(service));
            return (model, None);
        }
        if code == Some(NOT_FOUND) {
            return (OTHER.into(), None);
        }
        if models.len() >= self.most {
            return (OTHER.into(), Some(Issue::ModelOverBound));
        }
        models.insert(Arc::clone(&model), BTreeSet::from([Arc::clone(service)]));
        (model, None)
    }

    /// The model that a service serves, where it is one only.
    pub fn only(&self, engine: &'static str, service: &str) -> Option<Arc<str>> {
        let models = self.admitted.get(engine)?.iter();
        let mut of_service = models.filter(|(_, services)| services.contains(service)).map(|(model, _)| model);
        let first = of_service.next()?;
        of_service.next().is_none().then(|| Arc::clone(first))
    }

    /// Frees the places of models that only this service served.
    pub fn forget(&mut self, engine: &'static str, service: &str) {
        let Some(models) = self.admitted.get_mut(engine) else { return };
        models.retain(|_, services| {
            services.remove(service);
            !services.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_holds_and_is_freed_with_the_server() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut models = Models::new(2);
        let admit = |models: &mut Models, service, model, code| {
            let (label, issue) = models.admit("vllm", service, model, code);
            (label.to_string(), issue.is_some())
        };
        let own = |label: &str| (label.to_owned(), false);
        assert_eq!(admit(&mut models, &a, "invented", Some(404)), own("other"));
        assert_eq!(admit(&mut models, &a, "x", Some(200)), own("x"));
        assert_eq!(admit(&mut models, &a, "", None), own(""));
        assert_eq!(admit(&mut models, &b, "y", Some(200)), own("y"));
        assert_eq!(admit(&mut models, &b, "z", Some(200)), ("other".to_owned(), true));
        assert_eq!(admit(&mut models, &b, "x", Some(404)), own("x"));
        assert_eq!(models.only("vllm", "a").as_deref(), Some("x"));
        assert_eq!((models.only("vllm", "b"), models.only("vllm", "c")), (None, None));
        models.forget("vllm", "a");
        assert_eq!(admit(&mut models, &b, "z", Some(200)), ("other".to_owned(), true), "b serves x and y");
        models.forget("vllm", "b");
        assert_eq!(admit(&mut models, &b, "z", Some(200)), own("z"));
    }
}
