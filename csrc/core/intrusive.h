#pragma once

#include <atomic>
#include <utility>

namespace ember {

// Shared ownership of a T that has `retain()` and `release()`.
template <class T>
class Ref {
public:
    Ref() = default;
    Ref(std::nullptr_t) {}
    explicit Ref(T* p) : p_(p) {
        if (p_) p_->retain();
    }
    static Ref adopt(T* p) {  // takes over a count the caller has
        Ref r;
        r.p_ = p;
        return r;
    }
    Ref(const Ref& other) : Ref(other.p_) {}
    Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
    ~Ref() {
        if (p_) p_->release();
    }
    Ref& operator=(const Ref& other) {
        Ref(other).swap(*this);
        return *this;
    }
    Ref& operator=(Ref&& other) noexcept {
        Ref(std::move(other)).swap(*this);
        return *this;
    }
    void swap(Ref& other) noexcept { std::swap(p_, other.p_); }
    void reset() { Ref().swap(*this); }
    T* detach() { return std::exchange(p_, nullptr); }

    T* get() const { return p_; }
    T* operator->() const { return p_; }
    T& operator*() const { return *p_; }
    explicit operator bool() const { return p_ != nullptr; }
    bool operator==(const Ref& other) const { return p_ == other.p_; }

private:
    T* p_ = nullptr;
};

}  // namespace ember
