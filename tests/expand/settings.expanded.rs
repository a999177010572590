#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl __d::Schema for Task {
        const NAME: &'static ::core::primitive::str = "Task";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["reading", "to/do"];
        const STORAGE: __d::Storage = __d::Storage::Map;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<Id>("id"),
            __d::FieldDef::new::<String>("title").wire("text").required(),
            __d::FieldDef::new::<u32>("stars").default(__d::default_value::<u32>),
            __d::FieldDef::new::<Priority>("priority")
                .default(|| __d::value::<Priority>(&Priority::usual())),
            __d::FieldDef::new::<String>("password")
                .skip()
                .default(__d::default_value::<String>),
            __d::FieldDef::new::<String>("token")
                .skip()
                .default(|| __d::value::<String>(&token())),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<Id>(&self.id)
        }
    }
    #[automatically_derived]
    impl __d::Primary for Task
    where
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl Task {
        /// The field `id`.
        pub(crate) const ID: __d::Field<Self, Id> = __d::Field::at(0);
        /// The field `title`.
        pub(crate) const TITLE: __d::Field<Self, String> = __d::Field::at(1);
        /// The field `stars`.
        pub(crate) const STARS: __d::Field<Self, u32> = __d::Field::at(2);
        /// The field `priority`.
        pub(crate) const PRIORITY: __d::Field<Self, Priority> = __d::Field::at(3);
        /// The field `password`.
        pub(crate) const PASSWORD: __d::Field<Self, String> = __d::Field::at(4);
        /// The field `token`.
        pub(crate) const TOKEN: __d::Field<Self, String> = __d::Field::at(5);
    }
};
