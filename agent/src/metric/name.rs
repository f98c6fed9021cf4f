//! Which names (models, workflows, …) have series of their own: at most so many per engine. Pure.

use super::label::sanitised;
use crate::issue::Issue;
use crate::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Stands for every name beyond the cap.
const OTHER: &str = "other";

/// HTTP's "not found": the answer to a model that the server does not have.
const NOT_FOUND: u16 = 404;

/// Names of one kind that were admitted, and the services that use them.
#[derive(Debug)]
pub struct Names {
    most: usize,
    beyond: Issue,
    admitted: BTreeMap<&'static str, BTreeMap<Arc<str>, BTreeSet<Service>>>,
}

impl Names {
    /// At most `most` names per engine; one more is this issue.
    pub fn new(most: u32, beyond: Issue) -> Names {
        Names { most: usize::try_from(most).unwrap_or(usize::MAX), beyond, admitted: BTreeMap::new() }
    }

    /// The label value for a name that `service` answered for with `code`.
    ///
    /// A model that the server does not have is an invention of its client, who must not use up the cap.
    pub fn admit(
        &mut self,
        engine: &'static str,
        service: &Service,
        name: &str,
        code: Option<u16>,
    ) -> (Arc<str>, Option<Issue>) {
        let name = sanitised(name);
        // "None known" is no name, and takes no place.
        if name.is_empty() {
            return (name, None);
        }
        let names = self.admitted.entry(engine).or_default();
        if let Some(services) = names.get_mut(&name) {
            services.insert(service.clone());
            return (name, None);
        }
        if code == Some(NOT_FOUND) {
            return (OTHER.into(), None);
        }
        if names.len() >= self.most {
            return (OTHER.into(), Some(self.beyond));
        }
        names.insert(Arc::clone(&name), BTreeSet::from([service.clone()]));
        (name, None)
    }

    /// The name that a service uses, where it is one only.
    pub fn only(&self, engine: &'static str, service: &Service) -> Option<Arc<str>> {
        let names = self.admitted.get(engine)?.iter();
        let mut of_service = names.filter(|(_, services)| services.contains(service)).map(|(name, _)| name);
        let first = of_service.next()?;
        of_service.next().is_none().then(|| Arc::clone(first))
    }

    /// Frees the places of names that only this service used.
    pub fn forget(&mut self, engine: &'static str, service: &Service) {
        let Some(names) = self.admitted.get_mut(engine) else { return };
        names.retain(|_, services| {
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
        let [a, b, c] = ["a", "b", "c"].map(Service::from);
        let mut models = Names::new(2, Issue::ModelOverBound);
        let admit = |models: &mut Names, service, model, code| {
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
        assert_eq!(models.only("vllm", &a).as_deref(), Some("x"));
        assert_eq!((models.only("vllm", &b), models.only("vllm", &c)), (None, None));
        models.forget("vllm", &a);
        assert_eq!(admit(&mut models, &b, "z", Some(200)), ("other".to_owned(), true), "b serves x and y");
        models.forget("vllm", &b);
        assert_eq!(admit(&mut models, &b, "z", Some(200)), own("z"));
    }
}
