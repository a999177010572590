#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for Link {
        const NAME: &'static ::core::primitive::str = "Link";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["links"];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<String>("slug"),
            __d::FieldDef::new::<String>("title").required(),
            __d::FieldDef::new::<String>("url").required(),
            __d::FieldDef::new::<Option<String>>("note"),
            __d::FieldDef::new::<bool>("read"),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<String>(&self.slug)
        }
        fn rules(&self) -> ::core::result::Result<(), __d::ValidationErrors> {
            __d::validate(self)
        }
    }
    #[automatically_derived]
    impl __d::Primary for Link
    where
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl Link {
        /// The field `slug`.
        pub const SLUG: __d::Field<Self, String> = __d::Field::at(0);
        /// The field `title`.
        pub const TITLE: __d::Field<Self, String> = __d::Field::at(1);
        /// The field `url`.
        pub const URL: __d::Field<Self, String> = __d::Field::at(2);
        /// The field `note`.
        pub const NOTE: __d::Field<Self, Option<String>> = __d::Field::at(3);
        /// The field `read`.
        pub const READ: __d::Field<Self, bool> = __d::Field::at(4);
    }
};
