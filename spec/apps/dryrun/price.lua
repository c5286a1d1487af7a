return function(what) return what.price.amount end
