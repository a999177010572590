#[allow(deprecated)]
const _: () = {
    use ::dust_orm::__private as __d;
    #[automatically_derived]
    impl<S, T: Clone, const N: usize> __d::Schema for Page<S, T, N>
    where
        T: Default,
        Self: __d::FieldValue + ::core::marker::Send + ::core::marker::Sync + 'static,
        S: __d::Slug,
        Vec<T>: __d::FieldValue,
        T: __d::FieldValue + ::core::default::Default,
        Bytes<N>: __d::FieldValue,
    {
        const NAME: &'static ::core::primitive::str = "Page";
        const PREFIX: &'static [&'static ::core::primitive::str] = &["pages"];
        const STORAGE: __d::Storage = __d::Storage::Flat;
        const FIELDS: &'static [__d::FieldDef] = &[
            __d::FieldDef::new::<S>("name"),
            __d::FieldDef::new::<Vec<T>>("body"),
            __d::FieldDef::new::<T>("footer").default(__d::default_value::<T>),
            __d::FieldDef::new::<Bytes<N>>("bytes"),
            __d::FieldDef::new::<u64>("views"),
        ];
        const SLUG_INDEX: ::core::primitive::usize = 0;
        fn slug(&self) -> &::core::primitive::str {
            __d::slug::<S>(&self.name)
        }
    }
    #[automatically_derived]
    impl<S, T: Clone, const N: usize> __d::Primary for Page<S, T, N>
    where
        T: Default,
        for<'__dust> Self: __d::Schema,
    {}
    #[automatically_derived]
    impl<S, T: Clone, const N: usize> Page<S, T, N>
    where
        T: Default,
    {
        /// The field `name`.
        pub const NAME: __d::Field<Self, S> = __d::Field::at(0);
        /// The field `body`.
        pub const BODY: __d::Field<Self, Vec<T>> = __d::Field::at(1);
        /// The field `footer`.
        pub const FOOTER: __d::Field<Self, T> = __d::Field::at(2);
        /// The field `bytes`.
        pub const BYTES: __d::Field<Self, Bytes<N>> = __d::Field::at(3);
        /// The field `views`.
        pub const VIEWS: __d::Field<Self, u64> = __d::Field::at(4);
    }
};
