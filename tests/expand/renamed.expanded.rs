#[allow(deprecated)]
const _: () = {
    use crate::reexport::dust::__private as __d;
    #[automatically_derived]
    impl __d::Schema for r#Kind {
        const NAME: &'static ::core::primitive::str = "Kind";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["kinds"];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<String>("type"),
            __d::FieldDef::new::<String>("slug"),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 1;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<String>(&self.r#slug)
        }
        fn rules(&self) -> ::core::result::Result<(), __d::ValidationErrors> {
            __d::validate(self)
        }
    }
    #[automatically_derived]
    impl __d::Primary for r#Kind
    where
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl r#Kind {
        /// The field `type`.
        const TYPE: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `slug`.
        const SLUG: __d::Field<Self, String> = __d::Field::at(1);
    }
};
